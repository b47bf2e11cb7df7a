package jsvm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/dop251/goja"
)

// errorOf turns what a cell threw into data. The message carries the position, since it is what a model
// reads first.
func (s *session) errorOf(v goja.Value) *Error {
	o, ok := v.(*goja.Object)
	if !ok || s.js.kind(o) != "Error" {
		return &Error{Name: "Error", Message: "thrown: " + s.js.render(v)}
	}
	e := s.js.errorData(o)
	if at := firstPosition(e.Stack); at != "" && !strings.Contains(e.Message, "("+cellFile+":") {
		e.Message = strings.TrimPrefix(e.Message+" ("+at+")", " ")
	}
	return e
}

// errorData reads an error's parts along its prototypes, without running getters.
func (js *intrinsics) errorData(o *goja.Object) *Error {
	js.settleStack(o)
	text := func(name string) string {
		for p := o; p != nil && js.kind(p) != "Proxy"; p = p.Prototype() {
			if v := js.data(p, name); v != nil {
				if _, isObject := v.(*goja.Object); isObject {
					return ""
				}
				return v.String()
			}
		}
		return ""
	}
	name := text("name")
	return &Error{Name: name, Message: explainAbsent(name, text("message")), Code: text("code"), Stack: cleanStack(text("stack"))}
}

var (
	codeOffset = regexp.MustCompile(`(:\d+:\d+)\(\d+\)`)
	firstLine  = regexp.MustCompile(`\b` + cellFile + `:1:(\d+)\(\d+\)`) // only a raw frame has an offset: cleaning twice changes nothing
	framePlace = regexp.MustCompile(`\b(?:` + cellFile + `|eval|workspace):\d+:\d+`)
)

// cleanStack takes byte-code offsets, which change with the engine's version, and the prelude's frames out
// of a stack, and corrects the columns of the first line for the wrapper.
func cleanStack(stack string) string {
	if !strings.Contains(stack, "\tat ") {
		return stack
	}
	lines := strings.Split(stack, "\n")
	out := lines[:0]
	for _, line := range lines {
		if strings.HasPrefix(line, "\tat ") {
			if strings.Contains(line, "prelude_v") || strings.HasSuffix(line, "(native)") && !strings.Contains(line, cellFile) {
				continue
			}
			line = firstLine.ReplaceAllStringFunc(line, func(at string) string {
				column, _ := strconv.Atoi(at[strings.LastIndexByte(at, ':')+1 : strings.IndexByte(at, '(')])
				return fmt.Sprintf("%s:1:%d", cellFile, max(1, column-len(wrapOpen)))
			})
			line = codeOffset.ReplaceAllString(line, "$1")
		}
		out = append(out, line)
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

func firstPosition(stack string) string {
	for _, line := range strings.Split(stack, "\n") {
		if strings.HasPrefix(line, "\tat ") {
			return framePlace.FindString(line)
		}
	}
	return ""
}

func hideSuffix(source string) string {
	if rest, ok := strings.CutSuffix(source, regExpSuffix); ok && (strings.Contains(rest, `\p`) || strings.Contains(rest, `\P`)) {
		return rest
	}
	return source
}
