"""`python -m cryptosentinel` is the command line."""

from cryptosentinel.cli import main

if __name__ == "__main__":
    main()
