import sys

from notifications_service.cli import main

sys.exit(main())
