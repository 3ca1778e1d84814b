"""What everybody may see of a round: records with named values, and the places they go to. Off unless asked for."""
