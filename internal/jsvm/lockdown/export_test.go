package lockdown

// Sanitized is sanitized, for tests that would take minutes.
const Sanitized = sanitized
