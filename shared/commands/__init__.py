"""Commands of the command line, a module each for what belongs together; shared/cli.py starts them."""
