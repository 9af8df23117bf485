"""What a session on one machine does without a master: probes, bisections, capsules, impact. Driven by the worker kit."""
