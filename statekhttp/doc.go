// Package statekhttp is Statek's REST interface as an http.Handler, for programs that embed Statek and serve
// it below their own router, with their own authentication in front.
//
// The handler is the one that statek-api serves: routes, problems and streams are those of /openapi.json. It
// keeps nothing between requests. Streams and long polls stay open for as long as their clients do, so the
// server around it must not have a WriteTimeout, and should end request contexts when it stops.
//
// This package must not hold logic of its own: it hands the embedder's client to the same code that the
// binaries use.
package statekhttp
