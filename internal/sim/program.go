package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// program is the code of one cell: a list of steps, each of which ends before the next begins.
type program struct {
	Job   int    `json:"job"`
	Name  string `json:"name"`
	Steps []step `json:"steps"`
}

// step is one statement of a program.
type step struct {
	// Do is call (all Calls at once, until each has settled), open (waits that nobody awaits yet), set (joins the waits that
	// are open, and Calls, into a set, and awaits it), keep (the last value becomes a variable), print, throw or exit.
	Do    string `json:"do"`
	Mode  string `json:"mode,omitempty"` // of a set: first, any
	Calls []call `json:"calls,omitempty"`
}

// call is a host call with its arguments, a JSON array.
type call struct {
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

// source is the program as a cell's text: JavaScript, and before it, in a comment, what the small machine reads.
func (p program) source() string {
	text, _ := json.Marshal(p) // nothing in it can fail
	var b strings.Builder
	b.WriteString("//" + string(text) + "\nvar last = null, open = [], value = e => e instanceof Error ? e.name : e\n")
	for i, s := range p.Steps {
		calls := make([]string, len(s.Calls))
		for n, c := range s.Calls {
			calls[n] = c.Name + "(" + strings.Trim(string(c.Args), "[]") + ")"
		}
		list := strings.Join(calls, ", ")
		switch s.Do {
		case "call":
			fmt.Fprintf(&b, "for (const r of await Promise.allSettled([%s])) if (r.status === 'fulfilled') last = r.value\n", list)
		case "open":
			fmt.Fprintf(&b, "open.push(%s); for (const p of open) p.catch(() => {})\n", list)
		case "set":
			how := "first(...open, %s)"
			if s.Mode == "any" {
				how = "Promise.any([...open, %s])"
			}
			fmt.Fprintf(&b, "try { last = await "+how+" } catch (e) { last = value(e) }\nopen = []\n", list)
		case "keep":
			fmt.Fprintf(&b, "var kept%d = JSON.stringify(last)\n", i)
		case "print":
			fmt.Fprintf(&b, "print(%q)\n", fmt.Sprintf("%s line %d", p.Name, i))
		case "throw":
			b.WriteString("throw new Error('thrown')\n")
		case "exit":
			fmt.Fprintf(&b, "exit(%q)\n", p.Name)
		}
	}
	b.WriteString("open = []\n")
	return b.String()
}

// author writes programs.
type author struct {
	rng  *rand.Rand
	jobs []string // ids that can be waited for
	n    int
}

// program is one of a job's; the last one exits.
func (a *author) program(job int, name string, last bool) program {
	p := program{Job: job, Name: fmt.Sprintf("j%d/%s", job, name)}
	for range 1 + a.rng.IntN(4) {
		p.Steps = append(p.Steps, a.step(p.Name)...)
	}
	switch {
	case last:
		p.Steps = append(p.Steps, step{Do: "exit"})
	case a.rng.IntN(12) == 0 && !strings.Contains(name, "block"):
		p.Steps = append(p.Steps, step{Do: "throw"})
	}
	return p
}

func (a *author) step(name string) []step {
	switch a.rng.IntN(10) {
	case 0, 1:
		return []step{{Do: "call", Calls: []call{a.tool(name)}}, {Do: "keep"}}
	case 2:
		return []step{{Do: "call", Calls: a.several(name, 2+a.rng.IntN(3), true)}}
	case 3, 4:
		return []step{{Do: "call", Calls: []call{a.wait()}}, {Do: "print"}}
	case 5:
		return []step{{Do: "call", Calls: a.several(name, 2, false)}, {Do: "keep"}}
	case 6, 7:
		return []step{{Do: "set", Mode: a.mode(), Calls: a.several(name, 2+a.rng.IntN(2), false)}, {Do: "keep"}}
	case 8:
		return []step{{Do: "open", Calls: a.several(name, 1+a.rng.IntN(2), false)}, {Do: "call", Calls: []call{a.any(name)}},
			{Do: "set", Mode: a.mode(), Calls: a.several(name, 1, false)}}
	default:
		return []step{{Do: "open", Calls: a.several(name, 1, false)}, {Do: "call", Calls: []call{a.any(name)}}}
	}
}

func (a *author) mode() string { return []string{"first", "any"}[a.rng.IntN(2)] }

func (a *author) several(name string, n int, tools bool) (list []call) {
	for range n {
		if tools {
			list = append(list, a.any(name))
		} else {
			list = append(list, a.wait())
		}
	}
	return list
}

func (a *author) any(name string) call {
	if a.rng.IntN(2) == 0 {
		return a.tool(name)
	}
	return a.wait()
}

func (a *author) tool(name string) call {
	a.n++
	note := fmt.Sprintf("%s/%d", name, a.n)
	switch a.rng.IntN(8) {
	case 0:
		note += "fail"
		fallthrough
	case 1, 2, 3:
		return made("note", note)
	case 4:
		return made("pingOnce", note)
	default:
		return made("ping", note)
	}
}

func (a *author) wait() call {
	timeout := map[string]any{"timeout": a.rng.IntN(8000) + 1}
	switch a.rng.IntN(7) {
	case 0:
		return made("sleep", a.rng.IntN(4000))
	case 1:
		return made("event", a.topic(), timeout)
	case 2:
		timeout["key"] = fmt.Sprint("k", a.rng.IntN(2))
		return made("event", a.topic(), timeout)
	case 3:
		return made("message", timeout)
	case 4:
		return made("job", a.jobs[a.rng.IntN(len(a.jobs))], timeout)
	default:
		return made("pick", a.queue(), timeout)
	}
}

func (a *author) topic() string { return fmt.Sprint("e", a.rng.IntN(2)) }

func (a *author) queue() string { return fmt.Sprint("q", a.rng.IntN(2)) }

func made(name string, args ...any) call {
	text, _ := json.Marshal(args) // texts and numbers
	return call{Name: name, Args: text}
}
