package segment

// Failed says why nothing can be appended any more; nil while it can.
func (s *Set) Failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused()
}
