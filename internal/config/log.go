package config

import (
	"cmp"
	"io"
	"log/slog"
	"os"
)

// Logging is how a program logs.
type Logging struct {
	// Level is debug, info, warn or error. What it is before Bind is the default, info when empty.
	Level string
	// Format is text, json or auto: text when the output is a terminal. Default: auto.
	Format string
}

// Bind adds the settings of logging.
func (l *Logging) Bind(s *Set) {
	s.Choice(&l.Level, "log-level", "STATEK_LOG_LEVEL", cmp.Or(l.Level, "info"), "debug, info, warn or error", "debug", "info", "warn", "error")
	s.Choice(&l.Format, "log-format", "STATEK_LOG_FORMAT", "auto", "text, json, or auto: text on a terminal", "auto", "text", "json")
}

// Logger writes to w, with passwords in URLs replaced.
func (l Logging) Logger(w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	// The settings have checked the word; an unknown one from elsewhere leaves info.
	_ = level.UnmarshalText([]byte(l.Level))
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: redactAttr}
	if l.Format == "text" || l.Format != "json" && terminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func redactAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		return slog.String(a.Key, Redact(a.Value.String()))
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			return slog.String(a.Key, Redact(err.Error()))
		}
	}
	return a
}

func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
