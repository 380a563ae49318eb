"""What is measured: each module one quantity, as values that nothing has rounded yet."""
