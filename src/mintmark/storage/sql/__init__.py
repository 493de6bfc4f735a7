"""SQL: `schema` is the one truth, `statements` what is asked, `sqlite` who runs it."""
