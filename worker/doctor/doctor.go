// Package doctor looks at everything a worker needs and says how to mend what
// is wrong.
package doctor

import (
	"context"
	"time"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// Grade is how a check came out.
type Grade string

// The grades. Only Fail keeps a worker from working.
const (
	OK   Grade = "ok"
	Warn Grade = "warn"
	Fail Grade = "fail"
)

// Finding is one check's outcome.
type Finding struct {
	Check  string `json:"check"`
	Grade  Grade  `json:"grade"`
	Detail string `json:"detail"`
	// Mend says what to do; empty when all is well.
	Mend string `json:"mend,omitempty"`
	// Limits are what the check of that name found, one by one.
	Limits []runtime.Bound `json:"limits,omitempty"`
}

// Check looks at one thing.
type Check struct {
	Name string
	Run  func(ctx context.Context) Finding
}

// checkTimeout bounds one check: a hanging engine is a finding, not a reason
// to hang.
const checkTimeout = 15 * time.Second

// Examine runs all checks, in order.
func Examine(ctx context.Context, checks []Check) []Finding {
	findings := make([]Finding, 0, len(checks))
	for _, check := range checks {
		limited, cancel := context.WithTimeout(ctx, checkTimeout)
		finding := check.Run(limited)
		cancel()
		finding.Check = check.Name
		findings = append(findings, finding)
	}
	return findings
}

// Healthy says whether nothing failed.
func Healthy(findings []Finding) bool {
	for _, f := range findings {
		if f.Grade == Fail {
			return false
		}
	}
	return true
}

func ok(detail string) Finding         { return Finding{Grade: OK, Detail: detail} }
func warn(detail, mend string) Finding { return Finding{Grade: Warn, Detail: detail, Mend: mend} }
func fail(detail, mend string) Finding { return Finding{Grade: Fail, Detail: detail, Mend: mend} }
