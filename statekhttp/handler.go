package statekhttp

import (
	"net/http"

	"statek"
	"statek/internal/httpapi"
)

// Handler serves the REST interface of the client's database.
func Handler(client *statek.Client) http.Handler {
	return httpapi.New(client.App(), httpapi.Options{Logger: client.App().Logger()})
}
