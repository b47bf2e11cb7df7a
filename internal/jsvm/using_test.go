package jsvm_test

import (
	"testing"

	"statek/internal/jsvm"
)

func TestUsingKeepsWhatFollowsItAtTheTop(t *testing.T) {
	t.Parallel()
	for _, keyword := range []string{"using", "await using"} {
		s := open(t, jsvm.Setup{})
		step := run(t, s, keyword+" x = {[Symbol.dispose]() { print('bye') }}; const y = 2, {z = 1} = {}; class A { v() { return y } } function f() { return y } y + f() + new A().v()")
		if step.Echo != "6" || len(step.Console) != 1 || step.Console[0] != "bye" {
			t.Fatalf("%s: got %+v", keyword, step)
		}
		s, _, _ = reopen(t, s, nil, jsvm.Limits{})
		if got := outcome(run(t, s, "y + f() + z + new A().v()")); got != "7" {
			t.Errorf("%s: got %s", keyword, got)
		}
	}
}
