package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Keep writes a world in which something did not hold to a file of the folder, and returns the file's name.
func Keep(dir string, r Report) (string, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("sim: make the folder of seeds: %w", err)
	}
	file := filepath.Join(dir, fmt.Sprintf("%d.txt", r.Seed))
	text := fmt.Sprintf(`seed %d: %v

Run it again:  SIM_FROM=%d SEEDS=1 go test ./internal/sim -run '^TestSimulation$' -count 1
When it is mended: say here what was wrong, delete what follows, and keep the file: every run of the tests runs the seed again.

%s
`, r.Seed, r.Err, r.Seed, strings.Join(r.Trace, "\n"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("sim: keep seed %d: %w", r.Seed, err)
	}
	return file, nil
}

// Seeds reads which worlds a folder keeps.
func Seeds(dir string) ([]uint64, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, fmt.Errorf("sim: list seeds: %w", err)
	}
	seeds := make([]uint64, 0, len(files))
	for _, file := range files {
		seed, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(file), ".txt"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("sim: %s is not named by a seed, as in 17.txt", file)
		}
		seeds = append(seeds, seed)
	}
	return seeds, nil
}
