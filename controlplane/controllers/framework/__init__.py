"""What every controller stands on: queue, informers, expectations, manager. Knows no kind."""
