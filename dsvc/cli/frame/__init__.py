"""What every verb stands in: the table of verbs, their options, the session, the error boundary."""
