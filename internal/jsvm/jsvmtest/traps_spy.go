package jsvmtest

// spy counts in a variable whenever code of the cell runs; the probe shows that none did in between.
const spy = "globalThis.ran = 0; const spy = () => { ran++ };"

// spyTraps would notice if keeping or restoring ran any of their code.
var spyTraps = []trap{
	{define: spy + "const x = {toJSON() { spy() }, valueOf() { spy() }, toString() { spy() }, [Symbol.toPrimitive]() { spy() }, inspect() { spy() }, then(f) { spy() }}", probe: "ran"},
}
