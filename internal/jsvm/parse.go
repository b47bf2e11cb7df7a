package jsvm

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/unistring"
	"github.com/evanw/esbuild/pkg/api"
	"github.com/go-sourcemap/sourcemap"
)

// A cell is parsed as the body of one async arrow. The opening stands on the cell's own first line, so only
// the columns of that line are shifted.
const (
	wrapOpen  = "(async()=>{"
	wrapClose = "\n})"
	cellFile  = "cell"
)

// parsed is a cell as an AST, checked but not yet rewritten.
type parsed struct {
	program     *ast.Program
	arrow       *ast.ArrowFunctionLiteral
	body        *ast.BlockStatement
	transformed string
	// helpers are statements that esbuild put before the cell.
	helpers []ast.Statement
	// temps are variables that esbuild made up; they stay local to the cell.
	temps map[unistring.String]bool
	// long marks a text with long chains of operators.
	long bool
}

// parseCell bounds, parses and checks source. Only when the plain parse fails is esbuild asked, and if it
// fails too the first error is the one that counts. A recorded transformation is taken as it is.
func parseCell(source, recorded string, limits Limits) (*parsed, error) {
	scan, err := prescan(source, limits, false)
	if err != nil {
		return nil, err
	}
	if recorded != "" {
		p, err := parseLowered(recorded, scan.depth)
		if err != nil {
			return nil, fmt.Errorf("jsvm: load recorded transformation: %v", err) //nolint:errorlint // no fault of the model's text
		}
		p.findTemps(scan.words)
		p.liftUsing()
		return p, nil
	}
	p, first := parsePlain(source, scan.depth)
	if first == nil || errors.Is(first, errCloses) {
		return p, closes(first)
	}
	if len(scan.exports) > 0 {
		source = withoutExports(source, scan.exports)
		if p, err := parsePlain(source, scan.depth); err == nil {
			return p, nil
		}
	}
	if _, err := prescan(source, limits, true); err != nil {
		return nil, asTypes(first, err)
	}
	p, err = parseTransformed(source, limits)
	if err == nil {
		p.findTemps(scan.words)
		p.liftUsing()
		return p, nil
	}
	if errors.Is(err, errCloses) {
		return nil, closes(err)
	}
	return nil, later(first, err)
}

// later takes the error of the parser that came further: for TypeScript the plain one stops at the first type.
func later(plain, types error) error {
	var a, b *SyntaxError
	if errors.As(plain, &a) && errors.As(types, &b) && a.Message != noImport && (b.Line > a.Line || b.Line == a.Line && b.Column > a.Column) {
		return b
	}
	return plain
}

// asTypes reports both errors of a text that is no JavaScript and is refused as TypeScript.
func asTypes(plain, types error) error {
	var a, b *SyntaxError
	if errors.As(plain, &a) && errors.As(types, &b) {
		return &SyntaxError{Message: fmt.Sprintf("%s; read as TypeScript, at %d:%d, %s", a.Message, b.Line, b.Column, b.Message), Line: a.Line, Column: a.Column}
	}
	return types
}

// errCloses: the text ends the wrapper it is parsed in.
var errCloses = errors.New("jsvm: text closes the cell")

func closes(err error) error {
	if err == nil {
		return nil
	}
	return &SyntaxError{Message: "an unmatched bracket closes the cell", Line: 1, Column: 1}
}

// withoutExports blanks the export keywords: a cell exports everything anyhow.
func withoutExports(source string, at []int) string {
	text := []byte(source)
	for _, i := range at {
		copy(text[i:], "      ")
	}
	return string(text)
}

func parsePlain(source string, depth int) (*parsed, error) {
	text := wrapOpen + source + wrapClose
	program, err := parser.ParseFile(nil, cellFile, text, 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, syntaxError(err, source)
	}
	p := &parsed{program: program, long: depth > maxSpine}
	if err := mapColumns(program.File, text); err != nil {
		return nil, err
	}
	if !p.unwrap(len(text)) {
		return nil, errCloses
	}
	return p, checkEarly(p, text)
}

// unwrap finds the cell's arrow: it must be the last statement, and its last brace the one we added.
func (p *parsed) unwrap(length int) bool {
	body := p.program.Body
	if len(body) == 0 {
		return false
	}
	last, ok := body[len(body)-1].(*ast.ExpressionStatement)
	if !ok {
		return false
	}
	arrow, ok := last.Expression.(*ast.ArrowFunctionLiteral)
	if !ok || !arrow.Async {
		return false
	}
	block, ok := arrow.Body.(*ast.BlockStatement)
	if !ok || length >= 0 && (len(body) != 1 || int(block.RightBrace) != length-1 || int(arrow.Start) != 2) {
		return false
	}
	p.arrow, p.body, p.helpers = arrow, block, body[:len(body)-1]
	return true
}

// checkEarly compiles the text as it was written, which finds the early errors (duplicate names, a const
// without value, a break outside of a loop) that are gone once declarations have become assignments.
// The compiler computes what is constant, so BigInts are bounded and long chains cut first.
func checkEarly(p *parsed, text string) error {
	if p.long || strings.Contains(text, "**") || strings.Contains(text, "<<") {
		r := newResolver(p.program.File)
		r.script(p.program)
	}
	_, err := compileProgram(p.program)
	return err
}

// compileProgram reports goja's errors in the model's text. Some, as in a regular expression, are found
// only where the value is used, so the rewritten program may have them still.
func compileProgram(program *ast.Program) (*goja.Program, error) {
	out, err := goja.CompileAST(program, true)
	if err == nil {
		return out, nil
	}
	var syntax *goja.CompilerSyntaxError
	if !errors.As(err, &syntax) || syntax.File == nil {
		return nil, &SyntaxError{Message: err.Error(), Line: 1, Column: 1}
	}
	line, column := place(syntax.File.Position(syntax.Offset))
	return nil, &SyntaxError{Message: syntax.Message, Line: line, Column: column}
}

// place turns a position in the wrapped text into one in the model's text.
func place(p file.Position) (line, column int) {
	if p.Line == 1 {
		return 1, max(1, p.Column-len(wrapOpen))
	}
	return p.Line, max(1, p.Column)
}

const noImport = "import is not available in cells: tools are global functions, see tools()"

// syntaxError reports the parser's first error in the model's text.
func syntaxError(err error, source string) error {
	var list parser.ErrorList
	if !errors.As(err, &list) || len(list) == 0 {
		return &SyntaxError{Message: err.Error(), Line: 1, Column: 1}
	}
	line, at := place(list[0].Position)
	message := list[0].Message
	lines := splitLines(source)
	if line > len(lines) { // the end of input is the end of the model's text
		line = len(lines)
		at = len(lines[line-1]) + 1
		message = "Unexpected end of input"
	} else if rest := lines[line-1]; at <= len(rest) && strings.HasPrefix(rest[at-1:], "import") {
		message = noImport
	}
	return &SyntaxError{Message: message, Line: line, Column: column(lines[line-1], at)}
}

// mapMark begins the last line of a transformed text: its source map, so that a replay has the same
// positions in stacks.
const mapMark = "//# sourceMappingURL=data:application/json;base64,"

// parseTransformed lowers TypeScript and newer syntax with esbuild.
func parseTransformed(source string, limits Limits) (*parsed, error) {
	result := api.Transform(wrapOpen+source+wrapClose, api.TransformOptions{
		Loader:         api.LoaderTS,
		Target:         api.ES2022,
		Supported:      map[string]bool{"async-generator": false, "for-await": false, "using": false, "regexp-match-indices": false},
		Sourcemap:      api.SourceMapExternal,
		SourcesContent: api.SourcesContentExclude,
		Sourcefile:     cellFile,
		TreeShaking:    api.TreeShakingFalse,
		LogLevel:       api.LogLevelSilent,
	})
	if len(result.Errors) > 0 {
		return nil, transformError(result.Errors[0], source)
	}
	columns, err := fromOne(result.Map)
	if err != nil {
		return nil, err
	}
	// Lowering repeats much of a loop, which the parser then has to bear.
	wider := Limits{SourceBytes: 4 * limits.SourceBytes, Nesting: 4 * limits.Nesting, Operators: 2 * limits.Operators}
	scan, err := prescan(string(result.Code), wider, false)
	if err != nil {
		return nil, &SyntaxError{Message: "once it is lowered to JavaScript, " + err.Error(), Line: 1, Column: 1}
	}
	return parseLowered(string(result.Code)+mapMark+base64.StdEncoding.EncodeToString(columns)+"\n", scan.depth)
}

// transformError reports esbuild's error in the model's text.
func transformError(m api.Message, source string) error {
	if m.Location == nil {
		return &SyntaxError{Message: m.Text, Line: 1, Column: 1}
	}
	line, at := place(file.Position{Line: m.Location.Line, Column: m.Location.Column + 1})
	lines := splitLines(source)
	if line > len(lines) {
		return &SyntaxError{Message: "Unexpected end of input", Line: len(lines), Column: column(lines[len(lines)-1], 1<<30)}
	}
	return &SyntaxError{Message: m.Text, Line: line, Column: column(lines[line-1], at)}
}

// parseLowered parses what esbuild made, now or when the cell first ran. Runtime positions are mapped back
// through the map that we put on its last line (never one that the model's text names).
func parseLowered(text string, depth int) (*parsed, error) {
	program, err := parser.ParseFile(nil, cellFile, text, 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, fmt.Errorf("jsvm: parse transformed cell: %w", err)
	}
	p := &parsed{program: program, transformed: text, long: depth > maxSpine}
	if !p.unwrap(-1) || !onlyHelpers(p.helpers) {
		return nil, errCloses
	}
	if _, encoded, ok := strings.Cut(text[strings.LastIndexByte(strings.TrimSuffix(text, "\n"), '\n')+1:], mapMark); ok {
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded)); err == nil {
			if consumer, err := sourcemap.Parse(cellFile, raw); err == nil {
				program.File.SetSourceMap(consumer)
			}
		}
	}
	return p, checkEarly(p, text)
}

// findTemps tells the variables that the text does not mention. Lowering a loop makes some, which must not
// end up beside the variables of the workspace, let alone replace them.
func (p *parsed) findTemps(words map[string]bool) {
	p.temps = map[unistring.String]bool{}
	for _, decl := range p.arrow.DeclarationList {
		for _, b := range decl.List {
			eachTarget(b.Target, func(name unistring.String) {
				if !words[name.String()] {
					p.temps[name] = true
				}
			})
		}
	}
}

// onlyHelpers accepts nothing before the cell but the variables of esbuild's own runtime.
func onlyHelpers(list []ast.Statement) bool {
	for _, st := range list {
		v, ok := st.(*ast.VariableStatement)
		if !ok {
			return false
		}
		for _, b := range v.List {
			id, ok := b.Target.(*ast.Identifier)
			if !ok || !helperName.MatchString(id.Name.String()) {
				return false
			}
		}
	}
	return true
}
