package providers

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Rate is what a provider takes from all workers together; zero: any number.
type Rate struct {
	// Requests and Tokens a minute. Tokens are those sent and those replied.
	Requests, Tokens int
}

// String says the rate in words.
func (r Rate) String() string {
	var parts []string
	if r.Requests > 0 {
		parts = append(parts, fmt.Sprintf("%d requests", r.Requests))
	}
	if r.Tokens > 0 {
		parts = append(parts, fmt.Sprintf("%d tokens", r.Tokens))
	}
	if len(parts) == 0 {
		return "any number of requests"
	}
	return strings.Join(parts, " and ") + " a minute"
}

// mostPerMinute is more than any service takes.
const mostPerMinute = 1_000_000_000

// RatesFromEnv reads X_RPM and X_TPM, in any case, of an environment ("NAME=value" items) by X. The error joins what is
// wrong with those left out.
func RatesFromEnv(environ []string) (map[string]Rate, error) {
	rates := map[string]Rate{}
	var problems []error
	for _, item := range environ {
		name, value, _ := strings.Cut(item, "=")
		name, value = strings.ToUpper(name), strings.TrimSpace(value)
		x, tokens := strings.CutSuffix(name, "_TPM")
		requests := false
		if !tokens {
			x, requests = strings.CutSuffix(name, "_RPM")
		}
		if value == "" || !tokens && !requests || x == "STATEK" || !endpointName.MatchString(x) {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > mostPerMinute {
			problems = append(problems, fmt.Errorf("%s: must be a whole number from 1 to %d, got %q", name, mostPerMinute, value))
			continue
		}
		rate := rates[x]
		if tokens {
			rate.Tokens = n
		} else {
			rate.Requests = n
		}
		rates[x] = rate
	}
	slices.SortFunc(problems, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return rates, errors.Join(problems...)
}

// WithRates is the registry with rates by provider.
func (r *Registry) WithRates(rates map[string]Rate) *Registry {
	limited := *r
	limited.rates = rates
	return &limited
}

// Rate is what the provider takes.
func (r *Registry) Rate(name string) Rate { return r.rates[strings.ToUpper(name)] }
