"""`python -m webservice`: serve predictions."""

import sys

from webservice.serve import main

if __name__ == "__main__":
    sys.exit(main())
