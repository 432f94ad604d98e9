"""What Tiller does when all around it goes wrong; each part is one command, its figures are in docs/reliability.md."""
