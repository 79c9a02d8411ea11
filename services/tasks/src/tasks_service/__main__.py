import sys

from tasks_service.cli import main

sys.exit(main())
