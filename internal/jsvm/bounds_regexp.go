package jsvm

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// Bounds of regular expressions. The linear engine unrolls what is repeated, and walks the ranges of a class
// that ignores case, before it matches anything: a few dozen characters can take it minutes.
const (
	maxRegExp        = 20_000 // characters
	maxRegExpNesting = 200    // open groups
	maxRegExpRepeats = 50_000 // parts, each as often as the counts around it say
	maxRegExpRanges  = 1 << 20
	maxUnrolled      = 1000 // larger counts are left to the other engine, which does not unroll
)

// checkRegExp says why a regular expression is too much; it need not be a valid one.
func checkRegExp(source, flags string) (problem string) {
	if len(source) > maxRegExp {
		return fmt.Sprintf("a regular expression has %d characters; the limit is %d; use a shorter one", len(source), maxRegExp)
	}
	m := regExpMeter{src: source, fold: strings.Contains(flags, "i"), costs: []int{0}}
	return m.measure()
}

// regExpMeter walks the text once; costs holds the parts counted in each open group.
type regExpMeter struct {
	src    string
	pos    int
	fold   bool
	costs  []int
	last   int // cost of the part that a count would repeat
	ranges int
}

func (m *regExpMeter) measure() string {
	for m.pos < len(m.src) {
		c := m.src[m.pos]
		m.pos++
		switch c {
		case '\\':
			m.pos++
			m.part(1)
		case '[':
			m.class()
			m.part(1)
		case '(':
			if m.costs = append(m.costs, 0); len(m.costs)-1 > maxRegExpNesting {
				return fmt.Sprintf("a regular expression has more than %d open groups; the limit is %d; use a simpler one", maxRegExpNesting, maxRegExpNesting)
			}
		case ')':
			if top := len(m.costs) - 1; top > 0 {
				inner := m.costs[top]
				m.costs = m.costs[:top]
				m.part(inner + 1)
			}
		case '{':
			m.repeat()
		default:
			m.part(1)
		}
		if m.costs[len(m.costs)-1] > maxRegExpRepeats {
			return fmt.Sprintf("a regular expression repeats more than %d parts, counts within counts multiplied; the limit is %d; use smaller counts, or * and a check of the length", maxRegExpRepeats, maxRegExpRepeats)
		}
		if m.ranges > maxRegExpRanges {
			return fmt.Sprintf("the classes of a regular expression that ignores case have more than %d characters; the limit is %d; leave the i flag out, or use one class", maxRegExpRanges, maxRegExpRanges)
		}
	}
	return ""
}

func (m *regExpMeter) part(cost int) {
	m.last = cost
	m.costs[len(m.costs)-1] += cost
}

// repeat reads {n}, {n,} or {n,m}.
func (m *regExpMeter) repeat() {
	shut := strings.IndexByte(m.src[m.pos:], '}')
	if shut < 0 {
		return
	}
	low, high, both := strings.Cut(m.src[m.pos:m.pos+shut], ",")
	if both && high != "" {
		low = high
	}
	if strings.Trim(low, "0123456789") != "" || low == "" {
		return // no count
	}
	n, err := strconv.Atoi(low)
	if err != nil || n > maxUnrolled {
		n = maxUnrolled
	}
	n = max(n, 1)
	m.pos += shut + 1
	// The part itself has been counted once already.
	m.costs[len(m.costs)-1] += m.last * (n - 1)
	m.last = min(m.last*n, maxRegExpRepeats+1)
}

// class reads up to the end of a character class and adds up its ranges.
func (m *regExpMeter) class() {
	from, dash := rune(-1), false
	for m.pos < len(m.src) && m.src[m.pos] != ']' {
		if m.src[m.pos] == '-' && from >= 0 && !dash {
			m.pos++
			dash = true
			continue
		}
		c := m.classChar()
		if dash && m.fold && c > from {
			m.ranges += int(c - from)
		}
		from, dash = c, false
	}
	m.pos++
}

func (m *regExpMeter) classChar() rune {
	r, rest := utf8.DecodeRuneInString(m.src[m.pos:])
	m.pos += rest
	if r != '\\' || m.pos >= len(m.src) {
		return r
	}
	r, rest = utf8.DecodeRuneInString(m.src[m.pos:])
	m.pos += rest
	digits := 0
	switch {
	case r == 'x':
		digits = 2
	case r == 'u' && strings.HasPrefix(m.src[m.pos:], "{"):
		if shut := strings.IndexByte(m.src[m.pos:], '}'); shut > 0 {
			n, _ := strconv.ParseInt(m.src[m.pos+1:m.pos+shut], 16, 32)
			m.pos += shut + 1
			return rune(n)
		}
	case r == 'u':
		digits = 4
	case r == '0':
		return 0
	}
	if digits > 0 && m.pos+digits <= len(m.src) {
		if n, err := strconv.ParseInt(m.src[m.pos:m.pos+digits], 16, 32); err == nil {
			m.pos += digits
			return rune(n)
		}
	}
	return r
}

// regexpTooMuch lets the prelude check what becomes a regular expression: (source, flags).
func (s *session) regexpTooMuch(call goja.FunctionCall) goja.Value {
	if problem := checkRegExp(call.Argument(0).String(), call.Argument(1).String()); problem != "" {
		panic(s.makeError("RangeError", problem, ""))
	}
	return goja.Undefined()
}

// boundPattern checks the text that String.prototype.match and the like make a regular expression of.
func (s *session) boundPattern(method *goja.Symbol, call goja.FunctionCall) {
	if len(call.Arguments) == 0 {
		return
	}
	v := call.Arguments[0]
	if o, ok := v.(*goja.Object); ok {
		if own := o.GetSymbol(method); own != nil && !goja.IsUndefined(own) && !goja.IsNull(own) {
			return
		}
		v = v.ToString()
		call.Arguments[0] = v // made text once, here
	}
	if text, ok := v.(goja.String); ok {
		if problem := checkRegExp(text.String(), ""); problem != "" {
			panic(s.makeError("RangeError", problem, ""))
		}
	}
}
