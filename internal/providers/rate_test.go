package providers_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/providers"
)

func TestRatesFromEnvironment(t *testing.T) {
	t.Parallel()
	rates, err := providers.RatesFromEnv([]string{
		"OPENAI_RPM=600", "openai_tpm=90000", "LOCAL_RPM= 5 ", "EMPTY_RPM=", "STATEK_RPM=1", "1X_RPM=1", "PATH=/bin", "BAD_RPM=many", "BAD_TPM=0",
	})
	want := map[string]providers.Rate{"OPENAI": {Requests: 600, Tokens: 90000}, "LOCAL": {Requests: 5}}
	if diff := cmp.Diff(want, rates); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{`BAD_RPM: must be a whole number from 1 to 1000000000, got "many"`, `BAD_TPM: must be`} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %s", err, text)
		}
	}
	for rate, want := range map[providers.Rate]string{
		{}:                        "any number of requests",
		{Requests: 5}:             "5 requests a minute",
		{Requests: 5, Tokens: 90}: "5 requests and 90 tokens a minute",
	} {
		if got := rate.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
