package jsvm

import "strings"

// family is a way to nest: n times over, it makes a text that goes deep into a parser.
type family struct {
	name string
	text func(n int) string
}

func nest(open, middle, shut string) func(int) string {
	return func(n int) string { return strings.Repeat(open, n) + middle + strings.Repeat(shut, n) }
}

func chain(first, more string) func(int) string {
	return func(n int) string { return first + strings.Repeat(more, n) }
}

// families nest with and without brackets, in JavaScript and in TypeScript, and hide brackets from a scan
// that reads strings, comments and regular expressions differently than the parsers do.
var families = []family{
	{"parentheses", nest("(", "1", ")")},
	{"open parentheses", nest("(", "", "")},
	{"arrays", nest("[", "1", "]")},
	{"blocks", nest("{", ";", "}")},
	{"open blocks", nest("{", "", "")},
	{"objects", nest("x={a:", "1", "}")},
	{"object patterns", nest("{a:", "b", "}")},
	{"functions", nest("function f(){", "", "}")},
	{"default parameters", nest("(a=", "1", ")=>1")},
	{"classes", nest("x=class{m(){", "", "}}")},
	{"templates", nest("`${", "1", "}`")},
	{"calls inside", nest("f(", "1", ")")},
	{"new inside", nest("new f(", "1", ")")},
	{"arrows", chain("x=", "a=>")},
	{"async arrows", chain("x=", "async a=>")},
	{"arrows on lines", chain("x=\n", "a\n=>\n")},
	{"not", chain("", "!")},
	{"complement", chain("", "~")},
	{"minus", chain("", "- ")},
	{"plus", chain("", "+ ")},
	{"decrement", chain("", "-- ")},
	{"typeof", chain("", "typeof ")},
	{"void on lines", chain("", "void\n")},
	{"delete", chain("", "delete ")},
	{"new", chain("", "new ")},
	{"await", chain("", "await ")},
	{"await on lines", chain("", "await\n")},
	{"yield", func(n int) string { return "function*g(){" + strings.Repeat("yield ", n) + "}" }},
	{"yield*", func(n int) string { return "function*g(){" + strings.Repeat("yield*", n) + "1}" }},
	{"sums", chain("x", "+x")},
	{"sums of numbers", chain("1", "+1")},
	{"sums on lines", chain("x", "\n+x")},
	{"sums of texts", chain("''", "+'a'")},
	{"sums of objects", chain("0", "+{a:1+1}")},
	{"sums of functions", chain("0", "+function(){1+1}")},
	{"sums behind brackets", func(n int) string { return nest("(", "a", strings.Repeat("+b", n/200)+")")(min(n, 200)) }},
	{"products", chain("x", "*x")},
	{"powers", chain("x", "**x")},
	{"shifts", chain("x", "<<x")},
	{"ands", chain("x", "&&x")},
	{"ors", chain("x", "||x")},
	{"nullish", chain("x", "??x")},
	{"comparisons", chain("x", "<x")},
	{"commas", chain("x", ",x")},
	{"assignments", chain("", "a=")},
	{"logical assignments", chain("", "a??=")},
	{"conditions", func(n int) string { return strings.Repeat("a?b:", n) + "c" }},
	{"conditions in conditions", func(n int) string { return strings.Repeat("a?", n) + "b" + strings.Repeat(":c", n) }},
	{"conditions with brackets", func(n int) string { return strings.Repeat("a?(b):", n) + "c" }},
	{"conditions with objects", func(n int) string { return strings.Repeat("a?{}:", n) + "c" }},
	{"members", chain("a", ".b")},
	{"members on lines", chain("a", "\n.b")},
	{"optional members", chain("a", "?.b")},
	{"optional calls", chain("a", "?.()")},
	{"private members", chain("class A{#b;m(){this", ".#b")},
	{"elements", chain("a", "[0]")},
	{"calls", chain("a", "()")},
	{"methods", chain("a", ".b()")},
	{"tags", chain("a", "``")},
	{"in", chain("a", " in a")},
	{"instanceof", chain("a", " instanceof a")},
	{"in objects", chain("a", " in{}")},
	{"if", chain("", "if(x)")},
	{"if on lines", chain("", "if(x)\n")},
	{"else if", func(n int) string { return strings.Repeat("if(x);else ", n) + ";" }},
	{"else if with blocks", func(n int) string { return strings.Repeat("if(x){a+b+c}else ", n) + ";" }},
	{"else if with loops", func(n int) string { return strings.Repeat("if(x)do a;while(b);else ", n) + ";" }},
	{"else if with try", func(n int) string { return strings.Repeat("if(x)try{}catch{}else ", n) + ";" }},
	{"while", chain("", "while(x)")},
	{"for", chain("", "for(;;)")},
	{"for of", chain("", "for(x of y)")},
	{"for await", chain("", "for await(x of y)")},
	{"for await with blocks", nest("for await(x of y){", "", "}")},
	{"do", func(n int) string { return strings.Repeat("do ", n) + ";" + strings.Repeat("while(x);", n) }},
	{"with", chain("", "with(x)")},
	{"labels", chain("", "a:")},
	{"different labels", func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString("a" + strings.Repeat("b", i%50) + string(rune('a'+i%26)) + ":")
		}
		return b.String()
	}},
	{"cases", func(n int) string { return "switch(x){" + strings.Repeat("case 1:", n) + "}" }},
	{"cases in cases", nest("switch(x){case 1:", "", "}")},
	{"extends", chain("", "class A extends ")},
	{"extends classes", chain("x=", "class extends class{} ")},
	{"spread", chain("f(", "...")},
	{"imports", nest("import(", "a", ")")},
	{"destructuring", nest("[", "a", "]=")},
	{"throw", chain("", "throw ")},
	{"decorators", chain("", "@a ")},
	{"decorators with calls", chain("", "@a() ")},
	{"exports", chain("", "export ")},
	{"declarations", chain("let ", "a=")},
	{"let let", chain("", "let ")},
	{"async async", chain("", "async ")},
	{"generics", chain("let x:", "A<")},
	{"generics with commas", chain("let x:", "A<B,")},
	{"closed generics", nest("let x:A<", "B", ">")},
	{"generic calls", nest("f<", "x", ">()")},
	{"generic arrows", chain("x=", "<T>(a:T)=>")},
	{"assertions", chain("x=", "<any>")},
	{"as", chain("x", " as any")},
	{"as objects", chain("x", " as {}")},
	{"satisfies", chain("x", " satisfies any")},
	{"non-null", chain("x", "!")},
	{"non-null members", chain("x", "!.y")},
	{"array types", chain("let x:T", "[]")},
	{"tuples", nest("let x:[", "T", "]")},
	{"unions", chain("let x:T", "|T")},
	{"function types", chain("let x:", "(a:T)=>")},
	{"constructor types", chain("let x:", "new(a:T)=>")},
	{"conditional types", chain("type X=", "A extends B?C:")},
	{"conditional types of objects", chain("type X=", "{} extends {}?{}:")},
	{"keyof", chain("type X=", "keyof ")},
	{"keyof on lines", chain("type X=", "keyof\n")},
	{"readonly", chain("type X=", "readonly ")},
	{"infer", chain("type X=A extends ", "infer ")},
	{"typeof types", chain("type X=", "typeof ")},
	{"template types", nest("type X=`${", "T", "}`")},
	{"namespaces", chain("namespace a", ".b")},
	{"nested namespaces", nest("namespace a{", "", "}")},
	{"declare", chain("", "declare ")},
	{"abstract", chain("", "abstract ")},
	{"type type", chain("", "type ")},
	{"arrows with types in conditions", func(n int) string { return strings.Repeat("a?(b):c=>", n) + "d" }},
	{"brackets of arrows in conditions", func(n int) string { return nest("a?(b=", "1", "):c=>1")(n) }},
	{"async generics", nest("async<T>(a=", "1", ")=>1")},
	{"elements in markup", nest("<a>", "b", "</a>")},
	// Text that a scan could read differently.
	{"behind a slash after a condition", hidden("if(x)/[/*]/.test(y);")},
	{"behind a slash after a block", hidden("{}/[/*]/.test(y);")},
	{"behind a back-tick after a bracket", hidden("(a)/1+`\n`;")},
	{"behind a back-tick in an expression after a block", hidden("{}\n/`/.test(y);")},
	{"behind an expression after a function", hidden("function f(){}\n/[`]/.test(y);")},
	{"behind a slash after of", hidden("of=1;of/`/1;")},
	{"behind of", func(n int) string { return "of=1;of/(" + strings.Repeat("(", n) + "/1" }},
	{"behind a separator", hidden("// \u2028")},
	{"behind a separator in a text", hidden("'\u2028';")},
	{"behind a carriage return", hidden("'\r")},
	{"behind a blank", hidden("return\u00a0/[/*]/;")},
	{"behind a mark of byte order", hidden("return\ufeff/[/*]/;")},
	{"behind a comment of markup", hidden("<!-- /*\n")},
	{"behind the end of a comment of markup", hidden("\n--> `\n")},
	{"behind an escaped word", hidden("\\u0069f(x)/[/*]/;")},
	{"behind a hash", hidden("#!/*\n")},
	{"behind a number", hidden("1./`/1;")},
	{"behind a method", hidden("x.if(a)/`/1;")},
	{"behind a property", hidden("x.return/`/1;")},
	{"behind a decrement", hidden("a--/`/1;")},
	{"behind an increment on a line", hidden("a\n++/`/.lastIndex;")},
	{"behind a question", hidden("a?.5:/[/*]/;")},
}

// hidden puts a nest behind text that may mislead.
func hidden(text string) func(int) string {
	return func(n int) string { return text + strings.Repeat("(", n) }
}

// flat are families that parsers read in a loop, or of which nothing is more than one text, comment or error.
var flat = []string{"commas", "cases", "as objects", "extends classes", "behind a slash after of", "behind an escaped word", "behind a number", "behind a method", "behind a property", "behind a decrement"}

// patterns are ways to make regular expressions that are too much for the engines behind them.
var patterns = []struct {
	name, flags string
	text        func(n int) string
}{
	{"groups in groups", "", nest("(", "a", ")")},
	{"open groups", "", chain("", "(?:")},
	{"looking ahead in itself", "", nest("(?=", "a", ")")},
	{"looking behind in itself", "", nest("(?<=", "a", ")")},
	{"repeated groups in groups", "", nest("(?:", "a", ")*")},
	{"counts", "", chain("", "a{1000}")},
	{"counts of classes", "", chain("", "[^a]{500}")},
	{"counts in counts", "", nest("(?:", "a", "){10}")},
	{"large counts in counts", "", nest("(?:", "a(?=)", "){1000000}")},
	{"large classes that ignore case", "i", chain("", `[\0-\uffff]`)},
	{"large classes in braces that ignore case", "iu", chain("", `[\u{0}-\u{10ffff}]`)},
	{"long texts", "", chain("a", "a")},
}
