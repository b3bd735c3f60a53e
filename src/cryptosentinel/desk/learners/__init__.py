"""The MarketAnalyst as a trained model, clean or backdoored: made and asked inside the red team's sandbox only."""
