package openai

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"statek/internal/providers"
)

// Config says which service to ask and how.
type Config struct {
	// Name is the provider's name; required.
	Name string
	// URL is the base URL or the full chat completions URL; required.
	URL string
	// Key is sent as bearer token; empty sends none.
	Key providers.Secret
	// Client is shared by all providers of a process, so that connections are; default NewClient().
	Client *http.Client
	// Now is the clock that dates in Retry-After are compared with; default time.Now.
	Now func() time.Time
	// Timeout bounds one request; default 10 minutes. There is no off: a hung service would hold a job.
	Timeout time.Duration
	// MaxResponse bounds a response body in bytes; default 8 MiB.
	MaxResponse int64
}

const (
	defaultTimeout     = 10 * time.Minute
	defaultMaxResponse = 8 << 20
)

// Provider asks one service.
type Provider struct {
	config Config
	chat   sdk.ChatCompletionService
}

// NewClient returns an HTTP client made for model services: connections are kept and redirects refused.
func NewClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			ForceAttemptHTTP2:   true,
			MaxIdleConns:        256,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     90 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// New checks the configuration; it connects to nothing.
func New(config Config) (*Provider, error) {
	if config.Name == "" {
		return nil, errors.New("openai: expected Name to be set")
	}
	base, err := providers.BaseURL(config.URL)
	if err != nil {
		return nil, fmt.Errorf("openai: URL of %s %w", config.Name, err)
	}
	if config.Timeout < 0 || config.MaxResponse < 0 {
		return nil, fmt.Errorf("openai: expected Timeout and MaxResponse to be positive, got %s and %d",
			config.Timeout, config.MaxResponse)
	}
	config.Name = strings.ToUpper(config.Name)
	config.Timeout = cmp.Or(config.Timeout, defaultTimeout)
	config.MaxResponse = cmp.Or(config.MaxResponse, defaultMaxResponse)
	if config.Client == nil {
		config.Client = NewClient()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	p := &Provider{config: config}
	// The service is made directly: the client's constructor would read OPENAI_* variables and send the
	// organization they name to any service.
	options := []option.RequestOption{
		option.WithBaseURL(base), option.WithHTTPClient(config.Client), option.WithMaxRetries(0),
		option.WithMiddleware(p.readWhole),
	}
	if config.Key != "" {
		options = append(options, option.WithAPIKey(config.Key.Reveal()))
	}
	p.chat = sdk.NewChatCompletionService(options...)
	return p, nil
}

// Name implements providers.Provider.
func (p *Provider) Name() string { return p.config.Name }

var errTimeout = errors.New("the service did not answer in time")

// Complete implements providers.Provider.
func (p *Provider) Complete(ctx context.Context, req providers.Request) (providers.Reply, error) {
	inner, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, errTimeout)
	defer cancel()
	options := []option.RequestOption{}
	if req.Key != "" {
		options = append(options, option.WithHeader("Idempotency-Key", req.Key))
	}
	completion, err := p.chat.New(inner, params(req), options...)
	if err != nil {
		return providers.Reply{}, p.failure(ctx, inner, err)
	}
	return p.reply(completion)
}

func params(req providers.Request) sdk.ChatCompletionNewParams {
	params := sdk.ChatCompletionNewParams{Model: req.Model}
	for _, m := range req.Messages {
		switch m.Role {
		case providers.System:
			params.Messages = append(params.Messages, sdk.SystemMessage(m.Content))
		case providers.Assistant:
			params.Messages = append(params.Messages, sdk.AssistantMessage(m.Content))
		default:
			params.Messages = append(params.Messages, sdk.UserMessage(m.Content))
		}
	}
	if req.Temperature != nil {
		params.Temperature = sdk.Float(*req.Temperature)
	}
	return params
}

func (p *Provider) reply(completion *sdk.ChatCompletion) (providers.Reply, error) {
	if completion == nil || len(completion.Choices) == 0 {
		return providers.Reply{}, p.withoutChoice(completion)
	}
	choice := completion.Choices[0]
	reply := providers.Reply{
		// A refusal is an answer, too: the job must be able to show it.
		Text: cmp.Or(choice.Message.Content, choice.Message.Refusal), Model: completion.Model, Usage: usage(completion.Usage),
	}
	if choice.FinishReason == "length" {
		reply.Note = "the service cut the reply at its output limit"
	}
	return reply, nil
}

func usage(u sdk.CompletionUsage) providers.Usage {
	out := providers.Usage{
		InputTokens: u.PromptTokens, CachedTokens: u.PromptTokensDetails.CachedTokens, OutputTokens: u.CompletionTokens,
	}
	// OpenRouter's price; the text is kept because money is not a float.
	if cost, ok := u.JSON.ExtraFields["cost"]; ok {
		if text := cost.Raw(); decimal.MatchString(text) {
			out.Cost = text
		}
	}
	return out
}

// unwrapURL takes the cause out of an error that would repeat the URL.
func unwrapURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
