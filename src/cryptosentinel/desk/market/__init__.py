"""Where the desk's prices come from: a simulated market, recorded files, or an exchange through ccxt."""
