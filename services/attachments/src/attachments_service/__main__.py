import sys

from attachments_service.cli import main

sys.exit(main())
