package providertest

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// writeError writes an error as OpenAI does.
func writeError(w http.ResponseWriter, status int, message string) {
	if message == "" {
		message = http.StatusText(status)
	}
	body, err := json.Marshal(map[string]any{"error": map[string]any{
		"message": message, "type": "error", "param": nil, "code": strconv.Itoa(status),
	}})
	if err != nil {
		body = []byte(`{"error":{}}`)
	}
	send(w, status, "", body)
}

// write writes a completion, or the raw body instead; a client that is gone needs no answer.
func write(w http.ResponseWriter, answer Answer, r Recorded) {
	status := answer.Status
	if status == 0 {
		status = http.StatusOK
	}
	body := []byte(answer.Raw)
	if answer.Raw == "" {
		body = completion(answer, r.Model)
	}
	if !answer.Truncate {
		send(w, status, answer.ContentType, body)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body[:len(body)/2])
	// Without this the half would go down with the connection, unsent.
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	// The server breaks the connection off when a handler panics with this value.
	panic(http.ErrAbortHandler)
}

func send(w http.ResponseWriter, status int, contentType string, body []byte) {
	if contentType == "" {
		contentType = "application/json"
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func completion(answer Answer, model string) []byte {
	finish := answer.Finish
	if finish == "" {
		finish = "stop"
	}
	u := answer.Usage
	usage := map[string]any{
		"prompt_tokens": u.InputTokens, "completion_tokens": u.OutputTokens,
		"total_tokens":          u.InputTokens + u.OutputTokens,
		"prompt_tokens_details": map[string]any{"cached_tokens": u.CachedTokens},
	}
	if u.Cost != "" {
		usage["cost"] = json.Number(u.Cost)
	}
	body, err := json.Marshal(map[string]any{
		"id": "chatcmpl-test", "object": "chat.completion", "created": 1, "model": model,
		"choices": []any{map[string]any{
			"index": 0, "finish_reason": finish,
			"message": map[string]any{"role": "assistant", "content": answer.Text},
		}},
		"usage": usage,
	})
	if err != nil {
		return []byte(`{"error":{"message":"the test's answer cannot be written as JSON"}}`)
	}
	return body
}
