"""`python -m slimline`: the command line, where the script is not on the path."""

from slimline.cli import main

if __name__ == "__main__":
    main()
