"""What runs in the process of a check, beside the submission: importing, barriers, expectations, the verdict."""
