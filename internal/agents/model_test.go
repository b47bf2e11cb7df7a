package agents_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
)

func TestModelStringsHaveUpToFourParts(t *testing.T) {
	t.Parallel()
	cases := []struct {
		text       string
		want       agents.Model
		openrouter string
		other      string
	}{
		{"gpt-5", agents.Model{Name: "gpt-5"}, "gpt-5", "gpt-5"},
		{"openai/gpt-5", agents.Model{Family: "openai", Name: "gpt-5"}, "openai/gpt-5", "gpt-5"},
		{"openrouter/openai/gpt-5", agents.Model{Provider: "OPENROUTER", Family: "openai", Name: "gpt-5"}, "openai/gpt-5", "gpt-5"},
		{"openai//gpt-5", agents.Model{Provider: "OPENAI", Name: "gpt-5"}, "gpt-5", "gpt-5"},
		{"x/y/a/b/c", agents.Model{Provider: "X", Family: "y", Name: "a/b/c"}, "y/a/b/c", "a/b/c"},
		{"vendor/model:free", agents.Model{Family: "vendor", Name: "model:free"}, "vendor/model:free", "model:free"},
		{"llama3:8b", agents.Model{Name: "llama3:8b"}, "llama3:8b", "llama3:8b"},
		{"v/m:free/rl=50", agents.Model{Family: "v", Name: "m:free", Params: url.Values{"rl": {"50"}}}, "v/m:free", "m:free"},
		{"m/rl=5&reasoning_level=5", agents.Model{Name: "m", Params: url.Values{"rl": {"5"}, "reasoning_level": {"5"}}}, "m", "m"},
		{"LM:8b", agents.Model{Name: "LM:8b"}, "LM:8b", "LM:8b"},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			models, err := agents.ParseModels(c.text)
			if err != nil {
				t.Fatal(err)
			}
			for _, level := range []agents.Difficulty{agents.Low, agents.Medium, agents.High} {
				if diff := cmp.Diff(c.want, models.For(level)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", level, diff)
				}
			}
			if got := models.Low.Upstream("OpenRouter"); got != c.openrouter {
				t.Errorf("OPENROUTER gets %q, want %q", got, c.openrouter)
			}
			if got := models.Low.Upstream("OTHER"); got != c.other {
				t.Errorf("OTHER gets %q, want %q", got, c.other)
			}
			again, err := agents.ParseModel(models.Low.String())
			if err != nil || cmp.Diff(models.Low, again) != "" {
				t.Errorf("String() = %q reads as %+v, %v", models.Low, again, err)
			}
		})
	}
}

func TestModelsByDifficulty(t *testing.T) {
	t.Parallel()
	models, err := agents.ParseModels(" ML: v/small:free , H:openai//large/rl=50")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{models.For("L").String(), models.For("M").String(), models.For("H").String()}
	if diff := cmp.Diff([]string{"v/small:free", "v/small:free", "OPENAI//large/rl=50"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	all, err := agents.ParseModels("LMH:vendor/x:free")
	if err != nil || all.High.Name != "x:free" {
		t.Errorf("LMH:vendor/x:free = %+v, %v", all, err)
	}
}

func TestModelStringsAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "must look like", "a/": "must look like", "a b": "must look like", "L:a,M:b": "no model for H",
		"L:a,M:b,H:c,L:d": "for L twice", "a,b": "must look like L:model", "LMH:": "must look like",
		"m/rl=101": "0 to 100", "m/rl=5&reasoning_level=6": "both 5 and 6", "m/rl=%zz": "parameters",
	} {
		if _, err := agents.ParseModels(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseModels(%q): got %v, want …%s…", text, err, want)
		}
	}
}

func TestProviderComesFromModelThenMetadataThenConfiguration(t *testing.T) {
	t.Parallel()
	cases := []struct{ model, meta, want, upstream string }{
		{"openai//gpt-5", "openrouter", "OPENAI", "gpt-5"},
		{"v/m", "openrouter", "OPENROUTER", "v/m"},
		{"v/m", "", "SCRIPTED", "m"},
	}
	for _, c := range cases {
		def := agents.Definition{Meta: map[string]string{"MODEL": c.model, "PROVIDER": c.meta}}
		got, err := def.Route(agents.Low, "scripted")
		if err != nil || got.Provider != c.want || got.Upstream != c.upstream {
			t.Errorf("%+v: got %+v, %v", c, got, err)
		}
	}
}

func FuzzParseModels(f *testing.F) {
	for _, seed := range []string{"LM:a,H:b/c", "a/b/c:d/rl=5", "L:a", "//", "a//b=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		models, err := agents.ParseModels(text)
		if err == nil && (models.Low.Name == "" || models.Medium.Name == "" || models.High.Name == "") {
			t.Fatalf("ParseModels(%q) leaves a difficulty without a model", text)
		}
	})
}
