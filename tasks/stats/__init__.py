"""What labels are like as a whole: distributions, outliers, people who occur twice, drift from other labels."""
