package jsvmtest

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// programs draws concurrent code over the workspace of shared.
type programs struct {
	t *rapid.T
	n int // numbers what is drawn, so that every call and line can be told apart
}

func program(t *rapid.T, lowered bool) string {
	p := &programs{t: t}
	var b strings.Builder
	if lowered {
		b.WriteString("type Result = number; let typed: number = 1;\n") // a plain parse fails
	}
	for range rapid.IntRange(1, 5).Draw(t, "statements") {
		b.WriteString(p.statement(2) + "\n")
	}
	return b.String() + p.expr(1)
}

func (p *programs) pick(most int) int { return rapid.IntRange(0, most).Draw(p.t, "kind") }

func (p *programs) next() int {
	p.n++
	return p.n
}

// expr is an expression: a promise, a value, or something that throws.
func (p *programs) expr(depth int) string {
	n := p.next()
	if depth == 0 {
		return p.leaf(n)
	}
	sub := func() string { return p.expr(depth - 1) }
	switch p.pick(13) {
	case 0:
		return fmt.Sprintf("Promise.all([%s, %s, %d])", sub(), sub(), n)
	case 1:
		return fmt.Sprintf("Promise.race([%s, %s])", sub(), sub())
	case 2:
		return fmt.Sprintf("Promise.any([%s, %s])", sub(), sub())
	case 3:
		return fmt.Sprintf("Promise.allSettled([%s, Promise.all([%s, %s])])", sub(), sub(), sub())
	case 4:
		return fmt.Sprintf("(async () => { for (let i = 0; i < 2; i++) { print(%d, i, await %s); counter.add(i) } return %d })()", n, sub(), n)
	case 5:
		return fmt.Sprintf("%s.then((v) => (print('then', %d, v), %s), (e) => (print('catch', String(e)), %s))", p.promise(depth-1), n, sub(), sub())
	case 6:
		return fmt.Sprintf("%s.finally(() => { log.push('finally %d'); return %s })", p.promise(depth-1), n, sub())
	case 7:
		return fmt.Sprintf("(async () => { try { return await %s } catch (e) { print('inner', %d, e.name); throw new RangeError('r%d', {cause: e}) } finally { await %s } })()", sub(), n, n, sub())
	case 8:
		return fmt.Sprintf("(async () => { let out = []; for await (const v of stream(3)) { out.push(v); if (out.length > %d) break } return out })()", n%3)
	case 9:
		return fmt.Sprintf("retry(async (i) => { if (i < %d) throw new Error('again ' + i); return await %s }, 2)", n%4, sub())
	case 10:
		return fmt.Sprintf("new Promise((yes, no) => { %s.then(yes, no); box.map.set(%d, Math.random()) })", p.promise(depth-1), n)
	case 11:
		return fmt.Sprintf("{then(yes, no) { print('thenable %d'); fetchIt(%d).then(yes, no) }}", n, n)
	case 12:
		return fmt.Sprintf("(function rec(k) { return k > 0 ? fetchIt({k, n: %d}).then(() => rec(k - 1)) : %s })(2)", n, sub())
	}
	return p.leaf(n)
}

// promise is an expression that surely has then, catch and finally.
func (p *programs) promise(depth int) string { return "Promise.resolve(" + p.expr(depth) + ")" }

func (p *programs) leaf(n int) string {
	return fmt.Sprintf([]string{
		"fetchIt(%d)",
		"search({n: %d, r: Math.random(), now: Date.now()})",
		"ask('q%d')",
		"sleep(%d)",
		"Promise.reject(new Error('lost %d'))",
		"fetchIt('bad %d').then(() => { throw new TypeError('late') })",
		"(count += %d, Promise.resolve(count))",
		"Math.floor(Math.random() * %d)",
		"[...digits(%d %% 4)]",
		"fetchIt(new Date().toISOString(), new Date(2024, 0, 31, %d).toString())",
		"(() => { throw new Error('sync %d') })()",
	}[p.pick(10)], n)
}

// statement is something at the top level, or in a block.
func (p *programs) statement(depth int) string {
	n := p.next()
	if depth == 0 {
		return fmt.Sprintf("print(%d, await %s);", n, p.guarded())
	}
	sub := func() string { return p.statement(depth - 1) }
	switch p.pick(13) {
	case 0:
		return fmt.Sprintf("try { const v = await %s; print('v%d', v); } catch (e) { print('caught', String(e), e.code); %s } finally { print('finally %d'); %s }", p.expr(2), n, sub(), n, sub())
	case 1:
		return fmt.Sprintf("var v%d = await %s;", n, p.guarded())
	case 2:
		return fmt.Sprintf("box.list.push({n: %d, at: Date.now()}); box['k%d'] = await %s;", n, n, p.guarded())
	case 3:
		return p.expr(2) + "; // nobody waits for it"
	case 4:
		return fmt.Sprintf("outer%d: for (const a of digits(3)) { for (const b of [0, 1]) { try { if (b) continue outer%d; if (a > 1) break outer%d; await fetchIt([a, b]) } catch (e) { print(e.message) } finally { log.push(a) } } }", n, n, n)
	case 5:
		return fmt.Sprintf("for await (const v of stream(%d)) { print('stream', v); if (count++ > %d) break; }", n%3+1, n%5)
	case 6:
		return fmt.Sprintf("if (Math.random() < 0.5) { %s } else { %s }", sub(), sub())
	case 7:
		return fmt.Sprintf("const late%d = %s; late%d.catch(() => {}); print('made %d');", n, p.promise(2), n, n)
	case 8:
		return fmt.Sprintf("counter.add(%d); Counter.total++; box.map.set('c%d', counter); box.at = new Date();", n, n)
	case 9:
		return fmt.Sprintf("const f%d = (x) => x + %d; class C%d extends Counter { k = f%d(1) } const c%d = new C%d().add(3); delete globalThis.log%d;", n, n, n, n, n, n, n)
	case 10:
		return fmt.Sprintf("{ const it = stream(2); try { print((await it.next()).value); await it.return(%d) } catch (e) { print(e.name) } }", n)
	case 11:
		return fmt.Sprintf("queueMicrotask?.(() => print('micro %d')); Promise.resolve().then(() => fetchIt('after %d')).catch(() => {});", n, n)
	case 12:
		if n%5 == 0 {
			return fmt.Sprintf("if (Math.random() < 0.4) exit({n: %d, count}); %s", n, sub())
		}
		return fmt.Sprintf("if (Math.random() < 0.1) throw new Error('end %d'); %s", n, sub())
	}
	return sub()
}

// guarded is an expression that does not end the cell when it fails.
func (p *programs) guarded() string {
	return "(async () => " + p.expr(1) + ")().catch((e) => String(e))"
}
