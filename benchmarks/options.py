"""Options that several benchmarks have."""

import click

from spoofcache.common import cli

json_option = click.option(
    "--json", "json_path", type=cli.output, help="Write every figure in full precision to this JSON file."
)
folder_option = click.option(
    "--folder", type=cli.input_folder, help="Folder for temporary data.  [default: that of the system]"
)
