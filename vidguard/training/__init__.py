"""Makes weights; `vidguard train --help` says how."""
