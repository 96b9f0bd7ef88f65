package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// limits tells which limits this machine can hold placements to. A worker
// starts without those that are not vital: they cost the owner and the
// neighbours something, and tenants nothing.
func (p Patient) limits(ctx context.Context) Finding {
	info, err := p.info(ctx)
	if err != nil {
		return warn("the engine does not say", "mend the engine first")
	}
	var weak, lacking []string
	for _, b := range info.Bounds {
		switch {
		case b.Held == runtime.Fully:
			continue
		case b.Vital && b.Held == runtime.NotAt:
			lacking = append(lacking, b.Limit)
		}
		weak = append(weak, b.Limit)
	}
	detail := fmt.Sprintf("%d of %d are fully held", len(info.Bounds)-len(weak), len(info.Bounds))
	finding := ok(detail)
	switch {
	case len(lacking) > 0:
		finding = fail(detail, "no placement may run without "+strings.Join(lacking, ", ")+": see the list")
	case len(weak) > 0:
		finding = warn(detail, "the list says how to enable "+strings.Join(weak, ", "))
	}
	finding.Limits = info.Bounds
	return finding
}
