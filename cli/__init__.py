"""The command `tiller`: everything a person types. Modules here import nothing heavy until a command runs."""
