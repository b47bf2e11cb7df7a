package jsvm_test
import ("testing";"fmt";"statek/internal/jsvm")
func TestZZ(t *testing.T) {
	for _, src := range []string{
	"const o={toJSON(){return {o}}}; 1", "class R extends RegExp { exec(s) { return super.exec(s) } } 'éé'.replace(new R('\\\\p{L}','u'), '-')",
	"/é/u[Symbol.replace]({toString(){return 'éé'}}, '-')", "const r = /\\p{L}/uy; r.lastIndex = 1; 'xéé'.replace(r, '-') + r.lastIndex", "'éa'.replace(/(?<l>\\p{L})/u, '[$<l>$1$&$`]')", "'éa'.replace(/(?<l>\\p{L})/u, (...a) => a.length)", "'é é'.replaceAll(/\\p{L}/gu, (m, i) => i)",
	"const a = 5; 1 < a < 3 ? 'y' : 'n'", "1 < (2 < 3)", "(1 < 2) < (3)", "3 > 2 > 1", "'x' in {x:1} in {true:1}", "[] instanceof Array instanceof Object", "1 < 2 === true", "let i = 0; for (i = 0; 0 <= i < 2 && i < 5; i++); i",
	"(0.1+0.2).toLocaleString()", "(1e-10).toLocaleString()", "(999.9999).toLocaleString()", "(0.5).toLocaleString('en-US',{maximumFractionDigits:0})", "(1.5).toLocaleString('en-US',{maximumFractionDigits:0})","(123456.789).toLocaleString('en-US',{maximumSignificantDigits:2})", "(0.00012345).toLocaleString('en-US',{maximumSignificantDigits:2})","(999999).toLocaleString('en-US',{notation:'compact'})","(1000).toLocaleString('en-US',{notation:'compact'})","(12345).toLocaleString('en-US',{notation:'compact'})","(123).toLocaleString('en-US',{notation:'compact'})","(1.25).toLocaleString('en-US',{notation:'compact'})","(5e-324).toLocaleString('en-US',{maximumFractionDigits:20})","(1e25).toLocaleString()","(-0).toLocaleString()","(9.995).toLocaleString('en-US',{style:'currency',currency:'USD'})","(0.999).toLocaleString('en-US',{style:'percent'})","(2).toLocaleString('en-US',{minimumSignificantDigits:3})","(1.1).toLocaleString('en-US',{style:'currency',currency:'EUR',minimumFractionDigits:0})", "Infinity.toLocaleString()",
	"const n: string = `a`\nconst x = 3\n  / 2\nx", "JSON.parse({toString() { return '['.repeat(5000) + ']'.repeat(5000) }})", "'x'.match({toString() { return '(?:a{1000}){1000}' }})", "'x'.match('(?:a{1000}){1000}')", "/x/.compile('(?:a{1000}){1000}')", "'aXb'.match({[Symbol.match]: (s) => s + '!'})", "'ab'.search('b') + 'ab'.match('b').index + [...'abab'.matchAll('b')].length + String('ab'.match())", "const re = new RegExp('a', 'v'); re.flags", "typeof Error.captureStackTrace(new Error('x'))"} {
		s := open(t, jsvm.Setup{})
		step := run(t, s, src)
		fmt.Printf("%-60q => %s\n", src, outcome(step))
	}
}
