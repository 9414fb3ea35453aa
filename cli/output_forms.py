"""The forms of output by name, as `--write-out` takes them."""

from cli.output import Printer
from cli.output_data import JsonPrinter
from cli.output_fields import FieldsPrinter
from cli.output_simple import SimplePrinter
from cli.output_table import TablePrinter
from cli.output_wire import ProtobufPrinter

PRINTERS: dict[str, type[Printer]] = {
    "simple": SimplePrinter,
    "json": JsonPrinter,
    "fields": FieldsPrinter,
    "table": TablePrinter,
    "protobuf": ProtobufPrinter,
}
