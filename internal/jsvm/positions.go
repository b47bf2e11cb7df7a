package jsvm

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja/file"
	"github.com/go-sourcemap/sourcemap"
)

// Positions are lines and columns of the model's text, from 1; columns count UTF-16 units, as JavaScript and
// editors do. goja counts bytes, and asks a source map for columns from 1, where maps count from 0.

// mapColumns makes goja report the columns of a text that is not all ASCII in UTF-16 units.
func mapColumns(f *file.File, text string) error {
	ascii := true
	for i := 0; i < len(text) && ascii; i++ {
		ascii = text[i] < utf8.RuneSelf
	}
	if ascii {
		return nil
	}
	var m mappings
	for i, line := range splitLines(text) {
		m.line()
		units := 1
		for at, r := range line {
			m.add(at+1, i, units)
			units += unitsOf(r)
		}
		m.add(len(line)+1, i, units)
	}
	return setMap(f, fmt.Sprintf(`{"version":3,"sources":["%s"],"names":[],"mappings":"%s"}`, cellFile, m.b.String()))
}

func setMap(f *file.File, text string) error {
	consumer, err := sourcemap.Parse(cellFile, []byte(text))
	if err != nil {
		return fmt.Errorf("jsvm: read source map: %w", err)
	}
	f.SetSourceMap(consumer)
	return nil
}

// fromOne shifts the columns of esbuild's map, which count from 0.
func fromOne(raw []byte) ([]byte, error) {
	var m struct {
		Version  int      `json:"version"`
		Sources  []string `json:"sources"`
		Names    []string `json:"names"`
		Mappings string   `json:"mappings"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("jsvm: read source map: %w", err)
	}
	lines := strings.Split(m.Mappings, ";")
	shifted := false
	for i, line := range lines {
		if line == "" {
			continue
		}
		// Columns are relative: of the line's first segment in the output, of the map's first in the source.
		first, rest, more := strings.Cut(line, ",")
		fields := decodeFields(first)
		fields[0]++
		if len(fields) > 3 && !shifted {
			fields[3]++
			shifted = true
		}
		var b strings.Builder
		for _, f := range fields {
			encodeField(&b, f)
		}
		if more {
			b.WriteString("," + rest)
		}
		lines[i] = b.String()
	}
	m.Mappings = strings.Join(lines, ";")
	out, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("jsvm: write source map: %w", err)
	}
	return out, nil
}

// mappings writes the segments of a source map, each relative to the one before it.
type mappings struct {
	b                      strings.Builder
	lines                  int
	out, fromLine, fromCol int
	begun                  bool
}

func (m *mappings) line() {
	if m.lines > 0 {
		m.b.WriteByte(';')
	}
	m.lines++
	m.out, m.begun = 0, false
}

func (m *mappings) add(out, line, col int) {
	if m.begun {
		m.b.WriteByte(',')
	}
	for _, f := range []int{out - m.out, 0, line - m.fromLine, col - m.fromCol} {
		encodeField(&m.b, f)
	}
	m.out, m.fromLine, m.fromCol, m.begun = out, line, col, true
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func encodeField(b *strings.Builder, n int) {
	v := n << 1
	if n < 0 {
		v = -n<<1 | 1
	}
	for {
		digit := v & 31
		if v >>= 5; v > 0 {
			digit |= 32
		}
		b.WriteByte(base64Digits[digit])
		if v == 0 {
			return
		}
	}
}

func decodeFields(segment string) []int {
	var out []int
	v, shift := 0, 0
	for i := range len(segment) {
		digit := strings.IndexByte(base64Digits, segment[i])
		v |= (digit & 31) << shift
		shift += 5
		if digit&32 == 0 {
			n := v >> 1
			if v&1 == 1 {
				n = -n
			}
			out = append(out, n)
			v, shift = 0, 0
		}
	}
	return out
}

// splitLines cuts where goja does.
func splitLines(text string) []string {
	var out []string
	begin := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if !isBreak(r) {
			i += size
			continue
		}
		out = append(out, text[begin:i])
		if i += size; r == '\r' && i < len(text) && text[i] == '\n' {
			i++
		}
		begin = i
	}
	return append(out, text[begin:])
}

// column turns a column in bytes into one in UTF-16 units.
func column(line string, bytes int) int {
	units := 1
	for at, r := range line {
		if at+1 >= bytes {
			break
		}
		units += unitsOf(r)
	}
	return units
}

func unitsOf(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}
