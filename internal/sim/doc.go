// Package sim must not be used by anything but tests.
package sim
