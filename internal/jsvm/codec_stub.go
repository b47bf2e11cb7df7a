package jsvm
import "context"
type workspace struct{}
func newWorkspace(s *session, v []Variable) (*workspace, error) { return &workspace{}, nil }
func (s *session) Changes(ctx context.Context) (Changes, error) { return Changes{}, nil }
