"""One public function per use case. Only flows commit, and only flows write audit."""
