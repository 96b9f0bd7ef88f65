package main

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

const module = "github.com/isuncoin/isuncoin/"

// TestAnalyzer compares the reports with the "want" comments in testdata.
func TestAnalyzer(t *testing.T) {
	for _, pkg := range []string{
		"x/demo/keeper",     // every rule, and excuses
		"x/demo/simulation", // outside: no block runs it
		"worker/demo",       // outside: no consensus code
	} {
		t.Run(pkg, func(t *testing.T) {
			analysistest.Run(t, analysistest.TestData(), Analyzer, module+pkg)
		})
	}
}
