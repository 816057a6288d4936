"""`python -m steps.train --run=… --prepared=… --base=… --scratch=…`, the command of every pod of the JobSet."""

from steps.runtime import main
from steps.train.supervisor import train

if __name__ == "__main__":
    main("train", train)
