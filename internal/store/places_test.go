package store

import "testing"

// TestPlacesLeaveAConnection: whatever the size of a worker's pool, calls that wait for their job's turn never hold all of it.
func TestPlacesLeaveAConnection(t *testing.T) {
	t.Parallel()
	for conns := 6; conns <= 300; conns++ {
		tools, alone, chains := ToolPlaces(conns), alonePlaces(conns), chainPlaces(conns)
		if tools < 2 || alone < 1 || tools+alone+chains+1 >= conns {
			t.Errorf("of %d connections %d are for tools, %d for those alone, %d for chains and one for a batch", conns, tools, alone, chains)
		}
	}
}
