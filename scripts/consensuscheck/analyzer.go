package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Analyzer reports what consensus code must not contain. Generated files and tests are left out.
var Analyzer = &analysis.Analyzer{
	Name: "consensus",
	Doc:  "reports what would make validators compute different results",
	Run:  run,
}

// consensusPackage matches the import paths that hold consensus code.
var consensusPackage = regexp.MustCompile(`^github\.com/isuncoin/isuncoin/(app|x)(/|$)`)

// outsidePackage matches those below it that no block ever runs: simulations draw at random, test kits fake, and
// clients run on a person's machine.
var outsidePackage = regexp.MustCompile(`/(simulation|testkit|client)(/|$)`)

// forbiddenImports maps an import path to the reason against it.
var forbiddenImports = map[string]string{
	"crypto/rand":  "every validator must draw the same",
	"math/rand":    "every validator must draw the same",
	"math/rand/v2": "every validator must draw the same",
	"sync":         "state lives in the store: what is shared in memory differs between validators",
	"sync/atomic":  "state lives in the store: what is shared in memory differs between validators",
	"unsafe":       "the layout of memory differs between machines",
}

// forbiddenFuncs maps package and function to the reason against it.
var forbiddenFuncs = map[string]map[string]string{
	"time": {
		"Now": noClock, "Since": noClock, "Until": noClock, "Sleep": noClock, "After": noClock,
		"AfterFunc": noClock, "Tick": noClock, "NewTimer": noClock, "NewTicker": noClock,
	},
	"os": {
		"Getenv": noMachine, "LookupEnv": noMachine, "Environ": noMachine, "Hostname": noMachine,
		"Getpid": noMachine,
	},
	"runtime": {"NumCPU": noMachine, "GOMAXPROCS": noMachine, "NumGoroutine": noMachine},
}

const (
	noClock   = "validators' clocks differ: use the block's time or the chain clock"
	noMachine = "validators' machines differ"
)

// run checks one package.
func run(pass *analysis.Pass) (any, error) {
	path := pass.Pkg.Path()
	if !consensusPackage.MatchString(path) || outsidePackage.MatchString(path) {
		return nil, nil
	}
	for _, file := range pass.Files {
		name := pass.Fset.Position(file.FileStart).Filename
		if ast.IsGenerated(file) || strings.HasSuffix(name, "_test.go") {
			continue
		}
		c := &fileChecker{pass: pass, excuses: readExcuses(pass, file), reported: map[finding]bool{}}
		c.check(file)
		c.reportIdleExcuses()
	}
	return nil, nil
}

// finding is one reason on one line: a line says a thing once.
type finding struct {
	line    int
	message string
}

// fileChecker checks one file.
type fileChecker struct {
	pass     *analysis.Pass
	excuses  map[int]*excuse // by the line they stand on
	reported map[finding]bool
	sorted   map[ast.Expr]bool // iterators that are sorted at once
}

// check walks the file.
func (c *fileChecker) check(file *ast.File) {
	c.sorted = map[ast.Expr]bool{}
	for _, spec := range file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if reason, ok := forbiddenImports[path]; ok {
			c.report(spec.Pos(), "import of "+path+": "+reason)
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.GoStmt:
			c.report(node.Pos(), "goroutine: its timing differs between validators")
		case *ast.SelectStmt:
			c.report(node.Pos(), "select: which case runs differs between validators")
		case *ast.RangeStmt:
			c.checkRange(node)
		case *ast.CallExpr:
			c.checkCall(node)
		case *ast.Ident:
			c.checkUse(node)
		}
		if expr, ok := node.(ast.Expr); ok {
			c.checkFloat(expr)
		}
		return true
	})
}

// checkRange reports ranges over maps.
func (c *fileChecker) checkRange(stmt *ast.RangeStmt) {
	if stmt.Key == nil && stmt.Value == nil {
		return // only counts
	}
	ranged := c.pass.TypesInfo.TypeOf(stmt.X)
	if ranged == nil {
		return
	}
	if _, ok := ranged.Underlying().(*types.Map); ok {
		c.report(stmt.Pos(), "range over a map: its order differs between validators, sort the keys first")
	}
}

// checkCall reports iterators over maps, unless they are sorted at once.
func (c *fileChecker) checkCall(call *ast.CallExpr) {
	pkg, name := c.callee(call)
	switch {
	case pkg == "slices" && strings.HasPrefix(name, "Sorted"):
		for _, arg := range call.Args {
			c.sorted[arg] = true
		}
	case pkg == "maps" && (name == "Keys" || name == "Values" || name == "All") && !c.sorted[call]:
		c.report(call.Pos(), "maps."+name+": its order differs between validators, wrap it in slices.Sorted")
	}
}

// callee returns the package and name of a called function, or nothing for anything else.
func (c *fileChecker) callee(call *ast.CallExpr) (pkg, name string) {
	fun := call.Fun
	if index, ok := fun.(*ast.IndexExpr); ok {
		fun = index.X
	}
	selector, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	object, ok := c.pass.TypesInfo.Uses[selector.Sel].(*types.Func)
	if !ok || object.Pkg() == nil {
		return "", ""
	}
	return object.Pkg().Path(), object.Name()
}

// checkUse reports forbidden functions, called or handed on, under whatever name they are imported.
func (c *fileChecker) checkUse(ident *ast.Ident) {
	object, ok := c.pass.TypesInfo.Uses[ident].(*types.Func)
	if !ok || object.Pkg() == nil || object.Signature().Recv() != nil {
		return
	}
	path := object.Pkg().Path()
	if reason, ok := forbiddenFuncs[path][object.Name()]; ok {
		c.report(ident.Pos(), path+"."+object.Name()+": "+reason)
	}
}

// checkFloat reports every expression of a floating type, and variables that only get one.
func (c *fileChecker) checkFloat(expr ast.Expr) {
	var typ types.Type
	if value, ok := c.pass.TypesInfo.Types[expr]; ok {
		typ = value.Type
	} else if ident, ok := expr.(*ast.Ident); ok {
		if object, ok := c.pass.TypesInfo.Defs[ident].(*types.Var); ok {
			typ = object.Type()
		}
	}
	if typ != nil && holdsFloat(typ) {
		c.report(expr.Pos(), "floating point: rounding differs between machines, use integers or math.LegacyDec")
	}
}

// maxNesting ends the search in types that contain themselves, such as `type tree []tree`.
const maxNesting = 8

// holdsFloat is true for floating and complex numbers, for lists, maps and pointers of them, and for
// results among which one is.
func holdsFloat(typ types.Type) bool { return nestsFloat(typ, maxNesting) }

func nestsFloat(typ types.Type, depth int) bool {
	if depth == 0 {
		return false
	}
	switch typ := typ.Underlying().(type) {
	case *types.Basic:
		return typ.Info()&(types.IsFloat|types.IsComplex) != 0
	case *types.Slice:
		return nestsFloat(typ.Elem(), depth-1)
	case *types.Array:
		return nestsFloat(typ.Elem(), depth-1)
	case *types.Pointer:
		return nestsFloat(typ.Elem(), depth-1)
	case *types.Map:
		return nestsFloat(typ.Key(), depth-1) || nestsFloat(typ.Elem(), depth-1)
	case *types.Tuple:
		for v := range typ.Variables() {
			if nestsFloat(v.Type(), depth-1) {
				return true
			}
		}
	}
	return false
}

// report reports once per line and reason, unless the line is excused.
func (c *fileChecker) report(pos token.Pos, message string) {
	line := c.pass.Fset.Position(pos).Line
	for _, at := range []int{line, line - 1} {
		if excuse, ok := c.excuses[at]; ok && (at == line || excuse.ownLine) {
			excuse.used = true
			return
		}
	}
	key := finding{line, message}
	if c.reported[key] {
		return
	}
	c.reported[key] = true
	c.pass.Report(analysis.Diagnostic{Pos: pos, Message: message})
}
