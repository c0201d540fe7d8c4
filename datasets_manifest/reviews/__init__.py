"""What people judged of labels: verdicts on parts, one append-only file a session, and what training makes of them."""
